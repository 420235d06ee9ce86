"""Traces over OTLP/HTTP; the only file that knows OpenTelemetry's packages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboard.sinks.spans import Span, Trace

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode
except ImportError as error:
    raise ImportError(
        "sinks.otel needs OpenTelemetry's packages: pip install 'vramgate[otel]'"
    ) from error

#: seconds for one request, all its repetitions together
_TIMEOUT_S: Final = 5


class OtlpExporter:
    """Sends spans; repeats by itself for a few seconds where the collector says so."""

    def __init__(self, endpoint: str, service: str, version: str) -> None:
        """``endpoint``: base URL; ``service``, ``version``: what the spans say they are of."""
        url = f"{endpoint.rstrip('/')}/v1/traces"
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT_S)
        self._resource = Resource.create({"service.name": service, "service.version": version})
        self._scope = InstrumentationScope("vramgate", version)

    def send(self, traces: Sequence[Trace]) -> bool:
        """Send, and wait for the answer; False: the collector did not take them."""
        spans = [self._span(trace, span) for trace in traces for span in trace.spans]
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def _span(self, trace: Trace, span: Span) -> ReadableSpan:
        linked = trace.link is not None and span.parent is None
        status = Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR, span.error)
        return ReadableSpan(
            name=span.name,
            context=_context(trace.id, span.id),
            parent=None if span.parent is None else _context(trace.id, span.parent),
            resource=self._resource,
            attributes=dict(span.attributes),
            links=[Link(_context(*trace.link, remote=True))] if linked and trace.link else [],
            kind=SpanKind.CONSUMER if span.parent is None else SpanKind.INTERNAL,
            instrumentation_scope=self._scope,
            status=status,
            start_time=span.start_ns,
            end_time=span.end_ns,
        )


def _context(trace: int, span: int, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace, span, remote, TraceFlags(TraceFlags.SAMPLED))
