"""The tests of deeplimits; they mirror the package."""
