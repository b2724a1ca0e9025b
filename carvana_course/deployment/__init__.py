"""A trained net at work: folders of photos, Kaggle's file, exports, cut-outs, the model card, a photo of your own."""
