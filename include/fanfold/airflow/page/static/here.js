// The context of the page: the run that it shows.

import { createContext, useContext } from "./vendor/preact.js";

const Here = createContext(null);

/**
 * `dag`, `run`: the ids; `home`: the API's path of the run; `summary`: its last RunSummary;
 * `active`: whether it is not finished; `stamp`: changes when responses may have changed;
 * `act`: opens the dialog of an action, `{ kind, request }`; `hurry`: asks for the summary now.
 */
export const useHere = () => useContext(Here);
export const HereProvider = Here.Provider;
