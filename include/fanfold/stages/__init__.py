"""The stages of a run, one module each; they exchange files of the workspace, not imports."""
