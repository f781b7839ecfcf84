from tf_bdecay.sensitivity import bias_ratio as bias_ratio
from tf_bdecay.sensitivity import connection_sensitivity as connection_sensitivity
from tf_bdecay.sensitivity import l1_norms as l1_norms
from tf_bdecay.sharpness.ascent import perturbation as perturbation
from tf_bdecay.sharpness.connectivity_sharpness import connectivity as connectivity
from tf_bdecay.sharpness.curvature.eigenvalue import (
    hessian_top_eigenvalue as hessian_top_eigenvalue,
)
from tf_bdecay.sharpness.curvature.operator import hessian as hessian
from tf_bdecay.sharpness.curvature.spectrum import hessian_spectrum as hessian_spectrum
from tf_bdecay.sharpness.curvature.trace import hessian_trace as hessian_trace
from tf_bdecay.sharpness.fisher import fisher_rao as fisher_rao
from tf_bdecay.sharpness.over_examples.tape import (
    loss_gradients_and_sensitivity as loss_gradients_and_sensitivity,
)
from tf_bdecay.sharpness.rescaling.rescale import reparameterize as reparameterize
from tf_bdecay.sharpness.rescaling.rescale import rescalable_units as rescalable_units
from tf_bdecay.sharpness.rescaling.theorem import invariance as invariance
from tf_bdecay.sharpness.results.result import ConnectivityResult as ConnectivityResult
from tf_bdecay.sharpness.tangent_kernel import (
    connectivity_tangent_trace as connectivity_tangent_trace,
)
