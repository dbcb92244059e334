"""What runs. Importing it registers the LSTM students with transformers' Auto classes."""

from models.bilstm import BiLSTM
from models.cnn_lstm import CNNLSTM
from models.output import AttentionRecord, ModelOutput, Spec
from models.transformer import Pretrained, SmallTransformer

__all__ = ["AttentionRecord", "BiLSTM", "CNNLSTM", "ModelOutput", "Pretrained", "SmallTransformer", "Spec"]
