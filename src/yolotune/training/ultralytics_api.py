"""What yolotune relies on of Ultralytics beyond its documented API, in one list.

Ultralytics changes every week. `RELIED_ON` says which private methods are overridden, which attributes are read and
which order of events is counted on; a test per entry tells what a new version has changed. Importing this module
imports neither torch nor Ultralytics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

from yolotune.errors import Problem, did_you_mean
from yolotune.training.reliance import Attributes, Relied, Signature, Source, problem_of

#: The versions that all tests have passed with.
OLDEST, NEWEST = "8.4.190", "8.4.190"

#: Events of a training, in the order in which they first come, to which callbacks can be given.
EVENTS = (
    "on_pretrain_routine_start",
    "on_pretrain_routine_end",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_train_epoch_end",
    "on_model_save",
    "on_fit_epoch_end",
    "on_train_end",
    "teardown",
)


def check_version() -> str | None:
    """Returns the sentence to show where the installed Ultralytics is newer than the tested ones; None if it is not."""
    installed = metadata.version("ultralytics")
    if _numbers(installed) <= _numbers(NEWEST):
        return None
    return (
        f"Ultralytics {installed} is newer than {NEWEST}, the newest that yolotune was tested with. "
        f"If trainings fail: pip install ultralytics=={NEWEST}"
    )


def check_events(callbacks: Iterable[str]) -> list[Problem]:
    """Returns a problem for every event that no training has: a callback given to it would never be called.

    Args:
        callbacks: The events that callbacks were given to.
    """
    unknown = [event for event in callbacks if event not in EVENTS]
    fix = f"use one of {', '.join(EVENTS)}."
    return [
        Problem("callbacks", f"no training has an event {one!r}.{did_you_mean(one, EVENTS)}", fix) for one in unknown
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


_TRAINER = "ultralytics.engine.trainer:BaseTrainer"
_VALIDATOR = "ultralytics.engine.validator:BaseValidator"
_DETECTION = "ultralytics.models.yolo.detect:Detection"
_DATASET = "ultralytics.data.dataset:YOLODataset"
_LOADER = "ultralytics.data.build:InfiniteDataLoader"

RELIED_ON: tuple[Relied, ...] = (
    # --- the trainer: methods that trainer.py and resume_state.py override or call
    Signature(f"{_TRAINER}.__init__", "overrides"),
    Signature(f"{_TRAINER}.get_dataset"),
    Signature(f"{_TRAINER}.build_dataset", "img_path mode batch"),
    Signature(f"{_DETECTION}Trainer.get_dataloader", "dataset_path batch_size rank mode"),
    Signature(f"{_TRAINER}.get_validator"),
    Signature(f"{_TRAINER}.validate"),
    Signature(f"{_TRAINER}._handle_nan_recovery", "epoch"),
    Signature(f"{_TRAINER}.save_model"),
    Signature(f"{_TRAINER}.run_callbacks", "event"),
    Signature(f"{_TRAINER}.final_eval"),
    Signature(f"{_TRAINER}.plot_metrics"),
    Signature(f"{_TRAINER}.optimizer_step"),
    Signature(f"{_TRAINER}._build_train_pipeline"),
    Signature(f"{_TRAINER}._setup_train"),
    Signature(f"{_TRAINER}.set_model_attributes"),
    Source(
        f"{_TRAINER}._setup_train",
        "the layout of the model is set before its EMA is made",
        ("self.model.to(self.device)", "self.set_model_attributes()", "ModelEMA(self.model)"),
    ),
    Signature(f"{_TRAINER}.label_loss_items", "loss_items"),
    Signature(f"{_TRAINER}.read_results_csv"),
    Attributes(_TRAINER, "args save_dir wdir last best csv device data model ema optimizer validator"),
    Attributes(_TRAINER, "train_loader test_loader batch_size epochs start_epoch epoch resume stop stopper"),
    Attributes(_TRAINER, "best_fitness fitness lr loss tloss metrics accumulate scaler save_period"),
    Attributes("ultralytics.utils.torch_utils:EarlyStopping", "best_epoch patience"),
    # --- the trainer: what its methods do, and when
    Source(
        f"{_TRAINER}._do_train",
        "an epoch is validated, checked, saved and reported in this order, and `stop` then ends the loop",
        (
            'run_callbacks("on_train_start")',
            "self._oom_retries = 0",
            'run_callbacks("on_train_epoch_start")',
            'run_callbacks("on_train_batch_start")',
            "self._oom_retries >= 3",
            "ni - last_opt_step >= self.accumulate",
            "self.lr =",
            'self.ema.update_attr(self.model, include=["yaml", "nc", "args", "names", "stride", "class_weights"])',
            "self.metrics, self.fitness = self.validate()",
            "self._handle_nan_recovery(epoch)",
            "self.stop |=",
            "self.save_model()",
            'run_callbacks("on_fit_epoch_end")',
            "if self.stop:",
            "self.final_eval()",
            "self.plot_metrics()",
        ),
    ),
    Source(
        f"{_TRAINER}.__init__",
        "integrations act through callbacks alone",
        ("callbacks.add_integration_callbacks(self)", 'self.run_callbacks("on_pretrain_routine_start")'),
    ),
    Source(
        f"{_TRAINER}.save_model",
        "both checkpoints go where `last` and `best` point to, best.pt where the fitness is the best one",
        ("self.last.write_bytes", "if self.best_fitness == self.fitness", "self.best.write_bytes"),
    ),
    Source(
        f"{_TRAINER}.save_model",
        "saving.py writes a checkpoint with the same contents",
        (
            ".half().to(memory_format=torch.contiguous_format)",
            "ema.criterion = None",
            "torch.nan_to_num_(v)",
            '"epoch": self.epoch,\n                "best_fitness": self.best_fitness,\n                "stopper": {',
            '"model": None',
            '"ema": ema,\n                "updates": self.ema.updates,\n                "modelopt": modelopt',
            '"optimizer": convert_optimizer_state_dict_to_fp16(deepcopy(self.optimizer.state_dict())),\n',
            '"scaler": self.scaler.state_dict(),\n                "train_args": vars(self.args)',
            '"train_metrics": {**self.metrics, "fitness": self.fitness},\n',
            '"train_results": self.read_results_csv(),\n                "date"',
            '"version": __version__,\n                "git": {',
            '"license"',
            '"docs": "https://docs.ultralytics.com",\n            },',
        ),
    ),
    Source(
        f"{_TRAINER}.final_eval",
        "the checkpoints are stripped, then best.pt is validated",
        (
            "strip_optimizer(self.last)",
            "strip_optimizer(self.best",
            "self.validator(model=model)",
            "self.epoch += 1",
            'run_callbacks("on_fit_epoch_end")',
            "self.epoch -= 1",
        ),
    ),
    Source(
        f"{_TRAINER}.check_resume",
        "a resumed training has the arguments of its checkpoint, unless they are given",
        ("get_cfg(ckpt_args)", "allowed = {", '"batch"', "setattr(self.args, k, v)"),
    ),
    Source(f"{_TRAINER}.resume_training", "`resume = False` loads the weights alone", ("not self.resume",)),
    # --- the validator
    Signature(f"{_VALIDATOR}.__init__", "dataloader save_dir args"),
    Signature(f"{_VALIDATOR}.__call__", "trainer model"),
    Signature(f"{_VALIDATOR}.get_model", "model trainer"),
    # --- scoring.py: how a validator by itself finds its dataset
    Signature("ultralytics.engine.validator:check_det_dataset", "dataset split"),
    Source(
        f"{_VALIDATOR}.__call__",
        "a validator without a trainer looks for its dataset with one function, and builds its split by itself",
        ("check_det_dataset(self.args.data", "self.get_dataloader(self.data.get(self.args.split)"),
    ),
    Signature(f"{_VALIDATOR}.run_callbacks", "event"),
    Signature(f"{_DETECTION}Validator.init_metrics", "model"),
    Signature(f"{_DETECTION}Validator.update_metrics", "preds batch"),
    Signature(f"{_DETECTION}Validator._process_batch", "preds batch"),
    Signature(f"{_DETECTION}Validator.print_results"),
    Signature(f"{_DETECTION}Validator.get_desc"),
    Attributes("ultralytics.utils.metrics:SegmentMetrics", "box seg"),
    Attributes("ultralytics.utils.metrics:Metric", "f1 mp mr map map50 ap_class_index"),
    # --- pictures (curves.py, figures.py)
    Signature("ultralytics.utils.metrics:ConfusionMatrix.process_batch", "detections batch conf"),
    Signature(f"{_DETECTION}Trainer.plot_training_labels"),
    Signature(f"{_DETECTION}Trainer.plot_training_samples", "batch ni"),
    Source(
        f"{_DETECTION}Validator",
        "pictures are drawn from these",
        (
            "for si, pred in enumerate(preds):",
            "self._process_batch(predn, pbatch)",
            "self.confusion_matrix.process_batch(predn, pbatch, conf=self.args.conf)",
            'fname=self.save_dir / f"val_batch{ni}_labels.jpg"',
            "ops.xyxy2xywh(batched_preds",
            'fname=self.save_dir / f"val_batch{ni}_pred.jpg"',
        ),
    ),
    Source(f"{_VALIDATOR}.__call__", "so many batches are drawn", ("self.args.plots and batch_i < 3",)),
    Source(
        "ultralytics.utils.metrics:ap_per_class",
        "curves are drawn from these, by these names",
        (
            "names = {i: names[k] for i, k in enumerate(unique_classes) if k in names}",
            'plot_pr_curve(x, prec_values, ap, save_dir / f"{prefix}PR_curve.png", names',
            'plot_mc_curve(x, f1_curve, save_dir / f"{prefix}F1_curve.png", names, ylabel="F1"',
            'plot_mc_curve(x, p_curve, save_dir / f"{prefix}P_curve.png", names, ylabel="Precision"',
            'plot_mc_curve(x, r_curve, save_dir / f"{prefix}R_curve.png", names, ylabel="Recall"',
        ),
    ),
    Source(
        "ultralytics.utils.metrics:Metric.update",
        "curves are kept as attributes",
        ("self.all_ap", "self.ap_class_index", "self.p_curve", "self.r_curve", "self.f1_curve", "self.px", "self.prec"),
    ),
    Source(
        "ultralytics.utils.plotting",
        "so much of a batch is drawn, in this thread if it is told so",
        (
            "def plot_labels(boxes, cls, names",
            "@threaded\ndef plot_images(",
            "max_subplots: int = 16",
            "conf_thres: float = 0.25",
        ),
    ),
    # --- data
    Signature(f"{_LOADER}.close"),
    Source(
        f"{_LOADER}.__iter__",
        "the iterator is made when it is first needed",
        ("self.iterator is None", "self._get_iterator()"),
    ),
    Signature(f"{_DATASET}.get_labels"),
    Signature(f"{_DATASET}.get_label_files"),
    Signature(f"{_DATASET}.verify_labels", "labels cache_path"),
    Signature(f"{_DATASET}.load_image", "i rect_mode resize_short"),
    Attributes("ultralytics.data.base:BaseDataset", "im_files imgsz channels augment prefix"),
    Source(
        "ultralytics.data.base:BaseDataset.load_image",
        "an image whose longer side is `imgsz` is decoded once and kept for mosaics until `buffer` is full",
        (
            "im, f, fn = self.ims[i]",
            "if im is None:",
            "r = imgsz / max(h0, w0)",
            "w, h = (min(math.ceil(w0 * r), imgsz), min(math.ceil(h0 * r), imgsz))",
            'if self.augment and self.cache != "ram":',
            "self.ims[i], self.im_hw0[i], self.im_hw[i] = im, (h0, w0), im.shape[:2]",
            "self.buffer.append(i)",
            "if 1 < len(self.buffer) >= self.max_buffer_length:",
            "j = self.buffer.pop(0)",
            "self.ims[j], self.im_hw0[j], self.im_hw[j] = None, None, None",
            "return im, (h0, w0), im.shape[:2]",
        ),
    ),
    Source(
        "ultralytics.data.base:BaseDataset.get_image_and_label",
        "images are resized by their longer side",
        ("self.load_image(index)",),
    ),
    Source(
        "ultralytics.data.augment:RandomPerspective.apply_image",
        "an image is copied before it is changed: those that trainings share are read-only",
        ("if self.perspective:", "img = cv2.warpPerspective(", "else:", "img = cv2.warpAffine("),
    ),
    Source(
        "ultralytics.data.utils:verify_image_label",
        "it is called with these eight, and returns labels, shape and segments as second to fourth",
        (
            "(im_file, lb, shape, segments,",
            "im_file, lb_file, prefix, keypoint, num_cls, nkpt, ndim, single_cls = args",
        ),
    ),
    # --- models, weights, arguments
    Signature("ultralytics.utils.torch_utils:unwrap_model", "m"),
    Signature("ultralytics.utils.torch_utils:copy_attr", "a b include"),
    Signature("ultralytics.utils.torch_utils:convert_optimizer_state_dict_to_fp16", "state_dict"),
    Signature("ultralytics.utils.torch_utils:strip_optimizer", "f s updates"),
    Attributes("ultralytics.utils.git:GitRepo", "root branch commit message origin"),
    Signature("ultralytics.nn.tasks:load_checkpoint", "weight"),
    Signature("ultralytics.nn.tasks:yaml_model_load", "path"),
    Signature("ultralytics.nn.tasks:guess_model_task", "model"),
    Signature("ultralytics.utils.downloads:attempt_download_asset", "file"),
    Attributes("ultralytics.utils.downloads", "GITHUB_ASSETS_NAMES"),
    Signature("ultralytics.cfg:check_cfg", "cfg"),
    # --- the settings file and the environment (config/isolation.py)
    Source(
        "ultralytics.utils:SettingsManager.__init__",
        "settings of this version are complete with these, and are not reset",
        ('version="0.0.8"', '"datasets_dir"', '"weights_dir"', '"runs_dir"', '"uuid"', '"sync"', '"wandb"'),
    ),
    Source(
        "ultralytics.utils:get_user_config_dir",
        "this is where the user's settings are",
        ("YOLO_CONFIG_DIR", "XDG_CONFIG_HOME", '".config"', '"Library" / "Application Support"'),
    ),
    Source(
        "ultralytics.utils",
        "these variables keep it off the network and from installing packages and running pickled code",
        ("YOLO_AUTOINSTALL", "ULTRALYTICS_SAFE_LOAD", "YOLO_OFFLINE"),
    ),
)


def missing() -> list[str]:
    """Returns a sentence for each entry of the list that the installed Ultralytics does not have as expected."""
    return [problem for problem in map(problem_of, RELIED_ON) if problem is not None]
