#!/bin/sh
# Checks for the tools that no Python package brings; names all that are missing in one message.
case $PWD in *[[:space:]]*)
  echo "make cannot build simulators in $PWD, which has a space in its path: move the folder" >&2
  exit 2 ;;
esac
python=${1:-python3}
missing=
command -v g++ >/dev/null 2>&1 || missing="$missing g++"
command -v make >/dev/null 2>&1 || missing="$missing make"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  missing="$missing python>=3.11"
elif ! "$python" -c 'import ensurepip' 2>/dev/null; then
  missing="$missing python3-venv"
fi
[ -z "$missing" ] && exit 0
cat >&2 <<MESSAGE
This machine lacks:$missing
On Debian or Ubuntu:  sudo apt-get install g++ make python3 python3-venv
On Fedora:            sudo dnf install gcc-c++ make python3
A newer Python can be named: make setup PYTHON=python3.12
MESSAGE
exit 2
