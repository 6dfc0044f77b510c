"""The folder of a study, the only truth about it: read by anybody, written by the driver alone."""
