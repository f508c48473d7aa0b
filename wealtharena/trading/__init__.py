"""Trading on paper: decide at each close, check, send, book. The paper broker is the market kernel itself."""
