# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/__init__.py

"""Methods of namespaces with logic of their own; `short_names` has those without."""
