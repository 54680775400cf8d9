"""Guests: models of transformers behind the seam (:mod:`omgseg.protocols`), as its Segmenters.

A guest is named ``hf:owner/name`` or by a local folder of the layout that ``save_pretrained`` writes. The network and
its preprocessing are those of transformers; words, batches and read-outs are ours. To add one: an adapter, a class that
is called with a :class:`~omgseg.guests.guest.Loaded` network, and a line in :data:`~omgseg.guests.loading.GUESTS`.

Only :mod:`omgseg.guests.loading` is imported by name, through the registry of segmenters. transformers is the extra
``omgseg[guests]``, imported when a guest is loaded.
"""
