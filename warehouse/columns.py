"""What a table of the lake is made of, and the columns that several tables have."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type, its meaning, its unit where it has one, and whether it may be null."""

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table: one row per `grain`, files sorted by it; `of_pass`: the optional pass that writes it, if one does."""

    name: str
    grain: tuple[str, ...]
    meaning: str
    columns: tuple[Column, ...]
    of_pass: str = ""

    @property
    def path(self) -> str:
        """Its folder within that of a run."""
        return f"{self.of_pass}/{self.name}" if self.of_pass else self.name

    @property
    def key(self) -> tuple[str, ...]:
        """The grain within one run: the columns that are stored in the files and sort them."""
        return tuple(name for name in self.grain if name != "run")

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


RUN = Column("run", "VARCHAR", "Run id, `r-` and ten hexadecimal digits of what determines its rows.")
DOCUMENT = Column("document", "INTEGER", "Document, from 0 in the order of the corpus; the unit that is resampled.")
TOKEN_INDEX = Column("token_index", "INTEGER", "Analysed position, from 0 over the run.")
LAYER = Column("layer", "INTEGER", "Transformer layer of the MLP, from 0.")
NEURON = Column("neuron", "INTEGER", "Neuron of that MLP, from 0 to d_mlp - 1.")
