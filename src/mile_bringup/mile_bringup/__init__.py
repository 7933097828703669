"""The node graph, launch, configuration, and the mile command."""
