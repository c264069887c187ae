"""The root of the tests: plugins that hold for every test."""

pytest_plugins = ["tests.plugins.loopback", "tests.plugins.conformance"]
