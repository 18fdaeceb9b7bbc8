"""The parts of the benchmarks in the order of the page: a module of this package each, with `measure(full)`."""

PARTS = ("extraction", "peers", "scaling", "storage", "queries", "bootstrap", "report", "memory", "startup")
