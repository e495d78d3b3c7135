"""Commands that judge backends and compare documents."""
