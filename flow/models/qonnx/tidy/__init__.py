"""Rules that bring QONNX graphs, as people have them, to the one form that is read here."""
