// The run that the page shows, for every part of the page.

import { createContext, useContext } from "./vendor/preact.js";

const Here = createContext(null);

/**
 * `dag`, `run`: the ids; `home`: the API's path of the run; `summary`: its last RunSummary;
 * `active`: whether it goes on; `stamp`: changes when answers about it may have changed;
 * `redrive`: asks what to run again, and whether really.
 */
export const useHere = () => useContext(Here);
export const HereProvider = Here.Provider;
