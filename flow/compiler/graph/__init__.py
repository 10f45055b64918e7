"""Dataflow graph: conversion, passes, sites and taps."""
