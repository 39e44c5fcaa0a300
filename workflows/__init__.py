"""Workflows of the scripts. They compose the packages, which never import each other; nothing in those imports this.

training.py       how a run begins, and how it goes on to its end;  teacher_flow.py  flow computed while training
testing.py        scoring the test videos;  about.py  what a score file says of itself;  fusing.py  fusing score files
predicting/       predict.py: videos and cameras -> clips -> answers, pictures, films
exporting/        export.py: networks as one file for other programs, compared with the checkpoints
fusion_lab/  reporting/  verifying/  understanding/      what the tools of utils1 are made of
"""
