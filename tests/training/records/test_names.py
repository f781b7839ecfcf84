"""The names of a run's numbers, and their descriptions."""

import pytest

from tf_bdecay.training.records.names import describe_tag, shown_names


def test_evaluations_are_called_by_split_and_statistics():
    assert shown_names("test") == {"val_loss": "test_loss", "val_accuracy": "test_accuracy"}
    assert shown_names("validation", True, True, ("top5_accuracy",)) == {
        "val_loss": "validation_loss_precise",
        "val_top5_accuracy": "validation_top5_accuracy_precise",
        "val_loss_average": "validation_loss_average",
        "val_top5_accuracy_average": "validation_top5_accuracy_average",
    }


@pytest.mark.parametrize(
    "tag, said",
    [
        ("epoch/loss", "loss of the training batches"),
        ("epoch/test_accuracy_precise", "accuracy on the test images, with precise statistics"),
        ("epoch/top5_accuracy", "top-5 accuracy of the training batches"),
        ("epoch/test_top5_accuracy", "top-5 accuracy on the test images, with moving statistics"),
        ("epoch/validation_loss", "loss on the validation images, with moving statistics"),
        (
            "epoch/test_loss_average",
            "loss on the test images, of the moving average of the weights",
        ),
        ("C/gamma", "summed over variables of a kind"),
        ("gradient_noise_scale", "the batch beyond which more examples stop paying"),
        ("epoch/gradient_noise_scale", "By epoch, at the number of its last update: N = S / |G|^2"),
        ("epoch/gradient_square", "squared norm of the gradient of all examples"),
        ("of a user's own", ""),
    ],
)
def test_a_description_says_what_is_drawn(tag, said):
    assert said in describe_tag(tag)
