from tf_bdecay.batches import updates_per_epoch as updates_per_epoch
from tf_bdecay.data.catalog import load as load
from tf_bdecay.data.image_set import Augmentation as Augmentation
from tf_bdecay.data.image_set import ImageSet as ImageSet
from tf_bdecay.data.image_set import Split as Split
from tf_bdecay.data.pictures.picture_set import named_failures as named_failures
from tf_bdecay.data.pipeline import evaluation_batches as evaluation_batches
from tf_bdecay.data.pipeline import training_batches as training_batches
