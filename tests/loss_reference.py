"""Metric losses in 60-digit arithmetic, sum by sum as the papers print them."""

import mpmath
from checks import exact

exp, log, mpf = mpmath.exp, mpmath.log, mpmath.mpf


def cosines(x, y):
    """Cosines of all rows of x with all rows of y."""
    x, y = exact(x), exact(y)
    return [[mpmath.fdot(a, b) / (mpmath.norm(a) * mpmath.norm(b)) for b in y] for a in x]


def minus_distances(z, c):
    """-d on the ball, by arcosh(1 + 2 c q / (a b)) / sqrt(c); inner products for c = 0."""
    z, c = exact(z), mpf(c)
    if not c:
        return [[mpmath.fdot(a, b) for b in z] for a in z]
    gaps = [1 - c * mpmath.fdot(a, a) for a in z]

    def distance(i, j):
        q = mpmath.fsum([(a - b) ** 2 for a, b in zip(z[i], z[j], strict=True)])
        return mpmath.acosh(1 + 2 * c * q / (gaps[i] * gaps[j])) / mpmath.sqrt(c)

    return [[-distance(i, j) for j in range(len(z))] for i in range(len(z))]


def soft_hinges(terms, sharpness):
    """(1/sharpness) log(1 + sum of exp(sharpness t))."""
    return log(1 + mpmath.fsum([exp(sharpness * t) for t in terms])) / sharpness


def multi_similarity(s, labels, alpha, beta, base):
    """Multi-Similarity without its mining, and without the image itself."""
    n, total = range(len(s)), mpf(0)
    for i in n:
        own = [base - s[i][j] for j in n if j != i and labels[j] == labels[i]]
        other = [s[i][j] - base for j in n if labels[j] != labels[i]]
        total += soft_hinges(own, mpf(alpha)) + soft_hinges(other, mpf(beta))
    return total / len(s)


def mean_off_diagonal(s):
    """Mean of all similarities between different images."""
    n = range(len(s))
    return mpmath.fsum([s[i][j] for i in n for j in n if i != j]) / (len(n) * (len(n) - 1))


def mean_cross_entropy(logits, labels):
    """-log softmax at the label, mean over rows."""
    terms = [
        -log(exp(row[y]) / mpmath.fsum([exp(a) for a in row]))
        for row, y in zip(logits, labels, strict=True)
    ]
    return mpmath.fsum(terms) / len(terms)


def soft_triple(s, labels, scale, gamma, margin):
    """SoftTriple; s[i][k][m] with centre m of class k."""

    def relaxed(row):
        weights = [exp(a / mpf(gamma)) for a in row]
        mean = mpmath.fsum([w * a for w, a in zip(weights, row, strict=True)])
        return mean / mpmath.fsum(weights)

    classes = [[relaxed(row) for row in image] for image in s]
    logits = [
        [mpf(scale) * (a - mpf(margin) * (k == y)) for k, a in enumerate(row)]
        for row, y in zip(classes, labels, strict=True)
    ]
    return mean_cross_entropy(logits, labels)


def pair_softmax(s, classes, tau):
    """Sum over ordered pairs of views, over views squared; classes[k][v] is a row of s."""
    views, total = len(classes[0]), mpf(0)
    for v in range(views):
        for w in range(views):
            if v != w:
                terms = mpf(0)
                for own in classes:
                    i, j = own[v], own[w]
                    others = [m for other in classes for m in (other[v], other[w]) if m != i]
                    whole = mpmath.fsum([exp(s[i][m] / mpf(tau)) for m in others])
                    terms -= log(exp(s[i][j] / mpf(tau)) / whole)
                total += terms / len(classes)
    return total / views**2


def triplets(q, labels, margin):
    """Mean of the hinges above 0 over all triplets; q squared distances."""
    n = range(len(q))
    hinges = [
        q[i][j] - q[i][k] + mpf(margin)
        for i in n
        for j in n
        for k in n
        if i != j and labels[i] == labels[j] != labels[k]
    ]
    above = [h for h in hinges if h > 0]
    return mpmath.fsum(above) / len(above)
