"""Tests of what is sent to OpenTelemetry receivers."""
