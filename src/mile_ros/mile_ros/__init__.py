"""What every node of the MILE stack needs: typed parameters, QoS profiles, one way to start and stop."""
