"""Transfer learning: a classifier for the catalogue's own categories, trained on the features that indexing computed.

Uses the vectors' homes, the manifest and the heads of the routing house; ImageSearch and `ddsim train` use it. Needs the
extra ``train`` (scikit-learn) where something is trained; whoever only searches does not.
"""
