"""What every run shares: scope, logging, checkpoints, environment."""

default_scope = "omgseg"

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    resume_data=dict(type="ResumeDataHook"),
    vocabulary=dict(type="VocabularyHook"),
    finite_loss=dict(type="FiniteLossHook"),
    iteration_seed=dict(type="IterationSeedHook"),
    pictures=dict(type="PicturesHook", max_samples=4),  # of each validation
    curves=dict(type="CurvesHook"),
)
custom_hooks = []

# The communication backend follows the machine (nccl on GPUs, gloo on CPUs) unless dist_cfg names one.
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(timeout=1800),
)
find_unused_parameters = (
    True  # image batches leave the prompt encoder without gradient, prompts the class head
)
randomness = dict(seed=0, diff_rank_seed=True, deterministic=False)

# Where metrics, and the pictures of validations, go. In a config that derives from this one, for TensorBoard as well:
#     visualizer = dict(vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")])
# or for Weights & Biases:
#     visualizer = dict(vis_backends=[dict(type="WandbVisBackend", init_kwargs=dict(project="omgseg"))])
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"

load_from = None
load_strict = True  # False: weights may be missing in load_from, or be left over
resume = False
