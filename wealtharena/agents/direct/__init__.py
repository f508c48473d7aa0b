"""The pathwise gradient: prices do not depend on what we do, so an account can be differentiated and need not be sampled."""
