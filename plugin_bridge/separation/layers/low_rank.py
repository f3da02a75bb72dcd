"""Low-rank representation of a matrix by several dictionaries at once."""

from typing import Any

import torch
from torch import Tensor


def low_rank_codes(
    matrix: Tensor, dictionaries: Tensor, rest_weight: float, iterations: int, growth: float = 1.2
) -> Tensor:
    """Codes Z that minimise the sum of their nuclear norms and `rest_weight` times the magnitudes of E, where

        X = sum over s of D[s] Z[s] + E

    by inexact augmented Lagrange multipliers, as Liu, Lin and Yu, "Robust subspace segmentation by low-rank
    representation", ICML 2010, have for one dictionary. Each Z has a copy J that takes the nuclear norm; the
    penalty for a difference grows by `growth` in each iteration.

    Shape: X `(batch, rows, columns)` and D `(sources, rows, atoms)` to `(batch, sources, atoms, columns)`.
    """
    batch, columns = matrix.shape[0], matrix.shape[2]
    sources, atoms = dictionaries.shape[0], dictionaries.shape[2]
    turned = dictionaries.transpose(1, 2)
    one = torch.eye(atoms, dtype=matrix.dtype, device=matrix.device)
    solve = torch.linalg.inv(one + turned @ dictionaries)
    codes = matrix.new_zeros(batch, sources, atoms, columns)
    copy_multipliers = torch.zeros_like(codes)
    rest, multipliers = torch.zeros_like(matrix), torch.zeros_like(matrix)
    # The summand keeps silence from being divided by nothing; the Frobenius norm bounds the spectral one.
    penalty = 1.25 / (matrix.detach().square().sum(dim=(1, 2), keepdim=True).sqrt() + 1e-5)
    for _ in range(iterations):
        copies = shrink_singular_values(codes + copy_multipliers / penalty[:, None], 1 / penalty[:, None])
        parts = [dictionaries[source] @ codes[:, source] for source in range(sources)]
        renewed: list[Tensor] = []
        for source in range(sources):
            others = torch.stack(parts).sum(dim=0) - parts[source]
            missing = matrix - others - rest + multipliers / penalty
            wanted = copies[:, source] - copy_multipliers[:, source] / penalty
            code = solve[source] @ (turned[source] @ missing + wanted)
            renewed.append(code)
            parts[source] = dictionaries[source] @ code
        codes = torch.stack(renewed, dim=1)
        unexplained = matrix - torch.stack(parts).sum(dim=0) + multipliers / penalty
        limit = rest_weight / penalty
        rest = unexplained - torch.clamp(unexplained, -limit, limit)
        multipliers = penalty * (unexplained - rest)
        copy_multipliers = copy_multipliers + penalty[:, None] * (codes - copies)
        penalty = penalty * growth
    return codes


def shrink_singular_values(matrix: Tensor, by: Tensor) -> Tensor:
    """Every singular value lowered by `by`, those below it dropped.

    With A A' = U diag(s^2) U', that is U max(1 - by / s, 0) U' A, which needs no V.
    Shape: `(..., rows, columns)` and `(..., 1, 1)` to the first.
    """
    gram = matrix @ matrix.transpose(-1, -2)
    if torch.jit.is_scripting() or not torch.is_grad_enabled():  # type: ignore[attr-defined]
        squares, left = torch.linalg.eigh(gram)
        lowered: Tensor = (left * kept_shares(squares, by)[..., None, :]) @ (left.transpose(-1, -2) @ matrix)
        return lowered
    shrinking: Tensor = Shrinking.apply(gram, by.detach())  # type: ignore[no-untyped-call]
    return shrinking @ matrix


def kept_shares(squares: Tensor, by: Tensor) -> Tensor:
    """`max(1 - by / s, 0)` of squares of singular values s.

    Shape: `(..., rows)` and `(..., 1, 1)` to the first.
    """
    values = squares.clamp(min=1e-20).sqrt()
    return (1 - by[..., 0] / values).clamp(min=0)


class Shrinking(torch.autograd.Function):
    """U max(1 - by / s, 0) U' of U diag(s^2) U', with a gradient that equal singular values do not break.

    The derivative of a function g of a symmetric matrix is `(g(a) - g(b)) / (a - b)` between the directions
    of eigenvalues a and b, and g'(a) where they are equal (Daleckii and Krein).
    """

    @staticmethod
    def forward(ctx: Any, gram: Tensor, by: Tensor) -> Tensor:
        squares, left = torch.linalg.eigh(gram)
        shares = kept_shares(squares, by)
        ctx.save_for_backward(squares, left, shares, by)
        shrinking: Tensor = (left * shares[..., None, :]) @ left.transpose(-1, -2)
        return shrinking

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        squares, left, shares, by = ctx.saved_tensors
        apart = squares[..., :, None] - squares[..., None, :]
        slope = by[..., 0] / 2 * squares.clamp(min=1e-20) ** -1.5 * (shares > 0)
        equal = apart.abs() <= 1e-5 * squares.abs().amax(dim=-1)[..., None, None]
        ratios = (shares[..., :, None] - shares[..., None, :]) / torch.where(equal, 1, apart)
        between = torch.where(equal, (slope[..., :, None] + slope[..., None, :]) / 2, ratios)
        turned = left.transpose(-1, -2)
        symmetric = (gradient + gradient.transpose(-1, -2)) / 2
        return left @ (between * (turned @ symmetric @ left)) @ turned, None


@torch.no_grad()
def sparse_codes(columns: Tensor, dictionary: Tensor, sparsity: float, iterations: int) -> Tensor:
    """Codes A that minimise `|X - D A|^2 / 2 + sparsity * sum of |A|`, by accelerated shrinkage (FISTA).

    Shape: `(rows, columns)` and `(rows, atoms)` to `(atoms, columns)`.
    """
    gram, seen = dictionary.T @ dictionary, dictionary.T @ columns
    pace = 1 / torch.linalg.matrix_norm(gram, 2)
    codes = torch.zeros_like(seen)
    ahead, momentum = codes, 1.0
    for _ in range(iterations):
        stepped = ahead + pace * (seen - gram @ ahead)
        before, codes = codes, torch.nn.functional.softshrink(stepped, float(pace) * sparsity)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, momentum = codes + (momentum - 1) / faster * (codes - before), faster
    return codes
