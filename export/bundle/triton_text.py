"""A model of the Triton Inference Server that continues texts.

Triton's Python backend runs this file. It needs onnxruntime and tokenizers in
Triton's Python. model.json beside it describes the model, which is an ONNX file of
attnx with keys and values of the text so far as inputs and outputs; tokenizer.json
is its tokenizer. The likeliest token is taken each time.

Requests run at once, each in a thread, in one session. With "stream" the text comes
in pieces, otherwise in one response.
"""

import concurrent.futures
import json
import os

import numpy as np
import onnxruntime
import tokenizers
import triton_python_backend_utils as pb_utils

# Requests that are computed at the same time; others wait.
AT_ONCE = 8


class Refused(Exception):
    """A request that cannot be answered, and why."""


class TritonPythonModel:
    def initialize(self, args):
        folder = os.path.join(args["model_repository"], args["model_version"])
        with open(os.path.join(folder, "model.json"), encoding="utf-8") as f:
            self.about = json.load(f)
        self.tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.session = onnxruntime.InferenceSession(os.path.normpath(os.path.join(folder, self.about["file"])), providers=["CPUExecutionProvider"])
        self.pasts = {v.name: v for v in self.session.get_inputs() if v.name in self.about["cache"]}
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)

    def execute(self, requests):
        for r in requests:
            self.pool.submit(self.answer, r, r.get_response_sender())
        return None  # the responses come through the senders

    def finalize(self):
        self.pool.shutdown()

    def answer(self, request, sender):
        error = None
        try:
            whole, stream = [], bool(scalar(request, "stream", False))
            for piece in self.texts(request, sender):
                if stream and piece:
                    sender.send(response(piece))
                whole.append(piece)
            if not stream:
                sender.send(response("".join(whole)))
        except Refused as e:
            error = pb_utils.TritonError(str(e), pb_utils.TritonError.INVALID_ARG)
        except Exception as e:  # the server goes on
            error = pb_utils.TritonError(f"{type(e).__name__}: {e}", pb_utils.TritonError.INTERNAL)
        if error is not None:
            sender.send(pb_utils.InferenceResponse(output_tensors=[], error=error))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def texts(self, request, sender):
        """Yields the pieces of the continuation of a request's text."""
        text = scalar(request, "text_input", b"")
        try:
            text = text.decode("utf-8") if isinstance(text, bytes) else str(text)
        except UnicodeDecodeError as e:
            raise Refused(f"text_input is no UTF-8: {e}") from e
        most = int(scalar(request, "max_tokens", 50))
        if most < 1:
            raise Refused(f"max_tokens is {most}: give 1 or more")
        ids = self.tokenizer.encode(text).ids
        if not ids:
            raise Refused("text_input is empty: give at least one token")
        if len(ids) > self.about["context"]:
            raise Refused(f"text_input has {len(ids)} tokens, the model sees {self.about['context']}: shorten it")
        if max(ids) >= self.about["vocabulary"]:
            raise Refused(f"text_input has the token {max(ids)}, the model knows {self.about['vocabulary']}")
        begin, read = 0, len(ids)
        for id in self.ids(ids, most, sender):
            ids.append(id)
            # A token can be a part of a character, and a word can begin otherwise at
            # the start of a text: what was there before is decoded with it.
            before, now = self.decode(ids[begin:read]), self.decode(ids[begin:])
            if len(now) > len(before) and not now.endswith("\ufffd"):
                begin, read = read, len(ids)
                yield now[len(before) :]
        if read < len(ids):
            yield self.decode(ids[begin:])[len(self.decode(ids[begin:read])) :]

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def ids(self, prompt, most, sender):
        """Yields the ids of the likeliest tokens after a prompt, at most as many as
        given, until one ends the text or the model can see no more."""
        about, past, seen = self.about, None, 0
        new = list(prompt)
        for step in range(most):
            logits, past = self.run(new, seen, past)
            seen += len(new)
            if not np.isfinite(logits.max()):
                raise RuntimeError("the logits are no numbers: the model's weights or its runtime are at fault")
            id = int(logits.argmax())
            if id in about["end"] or sender.is_cancelled():
                return
            yield id
            if seen >= about["context"]:
                return
            new = [id]

    def run(self, new, seen, past):
        """Runs the model for new tokens of a text of which it has seen some.
        Returns the logits (V) after it and the keys and values of all of it."""
        about, n = self.about, len(new)
        if past is None:
            past = {name: self.empty(v) for name, v in self.pasts.items()}
        io = self.session.io_binding()
        io.bind_cpu_input(about["tokens"], np.array([new], np.int64))
        io.bind_cpu_input(about["attention_mask"], np.ones((1, seen + n), np.int64))
        if about["positions"]:
            io.bind_cpu_input(about["positions"], np.arange(seen, seen + n, dtype=np.int64)[None])
        io.bind_output(about["logits"])
        for name, value in past.items():
            io.bind_ortvalue_input(name, value)
            if about["shared"]:
                io.bind_ortvalue_output(about["cache"][name], value)
            else:
                io.bind_output(about["cache"][name])
        self.session.run_with_iobinding(io)
        out = io.get_outputs()
        if not about["shared"]:
            past = dict(zip(past, out[1:]))
        return out[0].numpy()[0, -1].astype(np.float32), past

    def empty(self, v):
        """Returns the past of no text."""
        _, heads, _, width = v.shape
        if self.about["shared"]:  # one buffer for all that the model can see
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((1, heads, self.about["context"], width), TYPES[v.type]))
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, heads, 0, width], TYPES[v.type])


TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def scalar(request, name, default):
    """Returns the one element of an input, or a default if the request has none."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return default
    values = tensor.as_numpy().reshape(-1)
    if len(values) != 1:
        raise Refused(f"{name} has {len(values)} elements: give one")
    return values[0]


def response(text):
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("text_output", np.array([text.encode("utf-8")], np.object_))])
