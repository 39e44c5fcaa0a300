"""Workflows: they compose the packages, which never import each other, into the things that users do.

listing/ making/ extracting/ auditing/ packing/ stored_flow/  data: lists, made-up videos, frames, flow, checks, packs
training/ testing/                                        train.py and STS_train.py, the test scripts
predicting/ exporting/                                    networks at work
reporting/ fusion_lab/ verifying/ understanding/ plotting/  results: pages, statistics, checks, evidence, curves
measuring/ shared/                                        this machine; what several of them share
"""
