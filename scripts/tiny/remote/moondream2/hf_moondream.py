"""Stand-in for Moondream2's Hugging Face wrapper (2025 revisions), defects included.

It never calls `post_init`, and its config forgets what config.json says.
"""

from transformers import PretrainedConfig, PreTrainedModel

from .moondream import MoondreamModel


class HfConfig(PretrainedConfig):
    _auto_class = "AutoConfig"
    model_type = "moondream1"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.config = {}


class HfMoondream(PreTrainedModel):
    _auto_class = "AutoModelForCausalLM"
    config_class = HfConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = MoondreamModel(setup_caches=False)
        self._caches_are_set_up = False

    def _setup_caches(self):
        if not self._caches_are_set_up:
            self.model._setup_caches()
            self._caches_are_set_up = True

    @property
    def encode_image(self):
        self._setup_caches()
        return self.model.encode_image

    @property
    def query(self):
        self._setup_caches()
        return self.model.query

    @property
    def caption(self):
        self._setup_caches()
        return self.model.caption

    def answer_question(self, image_embeds, question, tokenizer=None, **kwargs):
        return self.query(image_embeds, question)["answer"].strip()

    def generate(self, image_embeds, prompt, tokenizer, max_new_tokens=128, **kwargs):
        return [self.query(image_embeds, prompt)["answer"]]
