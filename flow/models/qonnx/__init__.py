"""Networks of users: QONNX files and Python factories."""
