"""The dataflow graph: conversion, passes, sites and taps."""
