"""Custom networks: QONNX files and Python factories."""
