"""What other tools call our verbs, settings, choices, metrics, samplers and grids.

Errors about an unknown name look here before they look for a similar spelling: whoever comes from
diffusers, k-diffusion, ComfyUI or torch-fidelity knows a thing by its name there. Case, spaces,
dashes and underscores don't matter in a key, and ``+`` is ``p`` (`undrift.names.nearest`).
"""

from __future__ import annotations

VERBS = {
    **dict.fromkeys(("fit", "finetune", "resume", "learn"), "train"),
    **dict.fromkeys(("generate", "infer", "inference", "draw", "predict", "synthesize"), "sample"),
    **dict.fromkeys(("fid", "metrics", "measure", "test", "validate", "score"), "evaluate"),
    **dict.fromkeys(("list", "ls", "show", "rm", "delete", "remove"), "runs"),
    **dict.fromkeys(("fill", "outpaint", "repaint"), "inpaint"),
    **dict.fromkeys(("img2img", "vary", "restore", "deblur", "upscale"), "edit"),
    **dict.fromkeys(("info", "describe", "summary", "data"), "inspect"),
    **dict.fromkeys(("nll", "bpd", "elbo", "anomalies"), "likelihood"),
    **{"benchmark": "compare", "distill": "tune-sampler", "check": "doctor", "env": "doctor"},
}

ACTIONS = {
    "ls": "list",
    "delete": "rm",
    "del": "rm",
    "remove": "rm",
    "info": "show",
    "describe": "show",
}
"""Of ``undrift runs``."""

SETTINGS = {
    **dict.fromkeys(("solver", "scheduler", "sampling_method"), "sampler"),
    **dict.fromkeys(("sigmas", "sigma_schedule", "spacing", "timestep_spacing"), "grid"),
    **dict.fromkeys(("cfg", "cfg_scale", "guidance_scale", "scale"), "guidance"),
    **dict.fromkeys(("num_inference_steps", "sampling_steps", "ddim_steps", "iters"), "steps"),
    **dict.fromkeys(("max_steps", "train_steps", "num_steps", "iterations", "epochs"), "steps"),
    **dict.fromkeys(("num_samples", "num_images", "n_samples", "count"), "n"),
    **dict.fromkeys(("resolution", "image_size", "img_size", "res"), "size"),
    **dict.fromkeys(("train_batch_size", "bs", "batch"), "batch_size"),
    **dict.fromkeys(("learning_rate", "lr", "learn_rate"), "learning_rate"),
    **dict.fromkeys(("output_dir", "outdir", "output", "save_dir", "logdir", "workdir"), "out"),
    **dict.fromkeys(("mixed_precision", "dtype", "amp"), "precision"),
    **dict.fromkeys(("resume_from_checkpoint", "resume_from", "ckpt"), "resume"),
    **dict.fromkeys(("model", "arch", "backbone"), "network"),
    **dict.fromkeys(("init_from", "pretrained", "finetune_from"), "init"),
    **dict.fromkeys(("gpu", "gpus", "cuda", "accelerator"), "device"),
    **dict.fromkeys(("class", "classes", "class_labels", "prompt"), "labels"),
    **dict.fromkeys(("random_flip", "mirror", "hflip"), "flip"),
    **dict.fromkeys(("trunc", "psi", "truncation_psi"), "truncation"),
    **dict.fromkeys(("time", "hours", "minutes", "max_time"), "budget"),
    **dict.fromkeys(("val_split", "val_fraction", "validation_split"), "holdout"),
    **dict.fromkeys(("ema_decay", "use_ema", "ema_rate"), "ema"),
    **dict.fromkeys(("fid_ref", "ref", "real"), "reference"),
    **{
        "colour": "channels",
        "checkpointing_steps": "checkpoint_every",
        "cond_drop": "label_dropout",
    },
}
"""Of every verb; a hint names one only where the verb has it."""

CHOICES = {
    **dict.fromkeys(("ddpm", "edm", "score", "flow", "flow_matching", "ldm"), "diffusion"),
    **dict.fromkeys(("gan", "r3"), "r3gan"),
    **dict.fromkeys(("stylegan", "stylegan2-ada", "stylegan3", "sg2"), "stylegan2"),
    **dict.fromkeys(("wgan", "wgangp"), "wgan_gp"),
    **{"dit": "transformer", "vit": "transformer", "uvit": "transformer", "adm": "unet"},
    **{"fp32": "float32", "full": "float32", "bf16": "bfloat16", "fp16": "bfloat16"},
    **{"half": "bfloat16", "gpu": "cuda", "val": "validation", "valid": "validation"},
    **{"center_crop": "crop", "letterbox": "pad", "bound": "elbo", "vlb": "elbo", "pf_ode": "ode"},
    **{"rk45": "dopri5", "online": "raw", "skilling": "hutchinson"},
}
"""Of flags whose values are listed."""

METRICS = {
    **dict.fromkeys(("fid", "frechet", "frechet_distance", "fdd", "fid_score"), "fd"),
    **{"fid_inf": "fd_infinity", "fid_infinity": "fd_infinity", "mmd": "kid", "kernel": "kid"},
    **{"is": "inception_score", "isc": "inception_score", "clip_mmd": "cmmd", "prdc": "quick"},
    **{"pr": "precision", "improved_precision": "precision", "improved_recall": "recall"},
    **{"accuracy": "label_accuracy", "ct": "c_t", "cfid": "class_fd", "class_fid": "class_fd"},
    **{"copies": "memorization", "memorisation": "memorization", "diversity": "vendi"},
}

FEATURES = {
    **dict.fromkeys(("fid", "inceptionv3", "inception_v3", "fid_inception"), "inception"),
    **dict.fromkeys(("dino", "dinov2_vit_b14"), "dinov2"),
    **{"openclip": "clip", "vit": "clip", "raw": "pixels", "untrained": "random"},
    **{"classifier": "domain", "spectrum": "texture"},
}

SAMPLERS = {
    **dict.fromkeys(("k_euler", "ddim_parallel", "ddimparallelscheduler", "flow_euler"), "euler"),
    **dict.fromkeys(("heunpp2", "flowmatchheundiscretescheduler", "edm_heun"), "heun_edm"),
    **dict.fromkeys(("dpm_fast", "dpm_solver", "dpm_solver_fast", "singlestep"), "dpmpp_2s"),
    **dict.fromkeys(("dpm_multistep", "cosinedpmsolvermultistepscheduler"), "dpmpp_2m"),
    **dict.fromkeys(("sa_solver", "sasolverscheduler", "seeds"), "dpmpp_3m_sde"),
    **{"uni_pc_bh2": "unipc", "k_lms": "lms", "ddpmparallelscheduler": "ddpm"},
    **{"langevin": "predictor_corrector", "sde": "euler_maruyama", "restart": "heun_churn"},
    **{"rk45": "dopri5", "rk4": "dopri5", "dormand_prince": "dopri5", "ode": "dopri5"},
}
"""Beside those that are accepted (`undrift.sampling.solver`)."""

DISTILLED = (
    *("lcm", "lcmscheduler", "tcd", "tcdscheduler", "turbo", "lightning", "hyper_sd"),
    *("cmstochasticiterativescheduler", "consistency", "dmd"),
)
"""Samplers of models that were distilled for them."""

GRIDS = {
    **dict.fromkeys(("exponential", "polyexponential", "lu", "lu_lambdas", "log_sigma"), "log_snr"),
    **dict.fromkeys(("normal", "linear", "linspace", "time_uniform"), "uniform"),
    **dict.fromkeys(("sgm_uniform", "simple"), "trailing"),
    **dict.fromkeys(("flow", "sd3", "flux", "flow_shift"), "shifted"),
    **{"ddim_uniform": "leading", "edm": "karras", "quad": "quadratic"},
}
"""diffusers says timestep_spacing or use_..._sigmas, A1111 schedule type, ComfyUI scheduler."""
