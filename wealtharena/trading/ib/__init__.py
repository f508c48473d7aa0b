"""Interactive Brokers' interface: contracts, and a gateway that is asked. Never tried live."""
