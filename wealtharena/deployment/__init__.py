"""The REST service: promoted agents behind HTTP."""
