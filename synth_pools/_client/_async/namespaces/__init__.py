"""Methods of namespaces with logic of their own; `short_names` has those without."""
