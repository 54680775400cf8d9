"""Table 5: images and clips have a query decoder each, all else is shared."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

model = dict(video_query_decoder={{_base_.model.query_decoder}})
