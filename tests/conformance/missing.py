"""The operations that the server does not have yet, by domain. An operation that is there, and right, may go.

One that is listed must be absent (404 as for any unknown path), or conform; one that is not listed must conform.
"""

from __future__ import annotations

MISSING: dict[str, tuple[str, ...]] = {
    "ci/cd": (
        "GET /cicd/pipelines",
        "POST /cicd/pipelines",
        "GET /cicd/pipelines/{id}",
        "POST /cicd/pipelines/{id}/trigger",
        "GET /cicd/pipelines/{id}/runs",
    ),
    "cloud": ("GET /cloud/providers", "GET /cloud/instances", "POST /cloud/instances"),
    "helm": (
        "GET /helm/repositories",
        "POST /helm/repositories",
        "GET /helm/releases",
        "POST /helm/releases",
    ),
    "observability configuration": (
        "POST /observability/metrics/configure",
        "POST /observability/tracing/configure",
        "POST /observability/logging/configure",
    ),
    "security": (
        "POST /security/scan",
        "GET /security/policies",
        "GET /security/secrets",
        "POST /security/secrets/create",
    ),
    "tenants": (
        "GET /tenants",
        "POST /tenants",
        "GET /tenants/{tenant_id}",
        "PUT /tenants/{tenant_id}",
        "DELETE /tenants/{tenant_id}",
        "POST /tenants/{tenant_id}/namespaces",
        "DELETE /tenants/{tenant_id}/namespaces/{namespace}",
        "PUT /tenants/{tenant_id}/quotas",
        "GET /tenants/{tenant_id}/usage",
    ),
}

NAMES = frozenset(name for names in MISSING.values() for name in names)
