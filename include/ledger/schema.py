"""The ledger's two tables. Changes to them go through a migration beside this file."""

from sqlalchemy import JSON, Column, DateTime, Index, Integer, MetaData, String, Table, UniqueConstraint
from sqlalchemy.types import BigInteger

METADATA = MetaData()

RECORD = Table(
    "record",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("use_case", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("key", String(300), nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("payload", JSON, nullable=False),
    UniqueConstraint("use_case", "kind", "key", name="record_is_written_once"),
    Index("record_by_kind", "use_case", "kind", "id"),
)

CHAMPION = Table(
    "champion",
    METADATA,
    Column("use_case", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("payload", JSON, nullable=False),
)
