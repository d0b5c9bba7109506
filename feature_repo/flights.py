"""The feature store's view of `flights`: who, which features, and how long a value stays valid. Plain Feast."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, String

origin = Entity(name="flights_origin", join_keys=["origin"], value_type=ValueType.STRING)
carrier = Entity(name="flights_carrier", join_keys=["carrier"], value_type=ValueType.STRING)
route = Entity(name="flights_route", join_keys=["route"], value_type=ValueType.STRING)
tailnum = Entity(name="flights_tailnum", join_keys=["tailnum"], value_type=ValueType.STRING)


def _view(name: str, entity: Entity, ttl: timedelta, features: list[str], texts: tuple[str, ...] = ()) -> FeatureView:
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=ttl,
        schema=[
            Field(name=entity.join_key, dtype=String),
            *(Field(name=feature, dtype=String if feature in texts else Float64) for feature in features),
        ],
        source=FileSource(
            name=name,
            path=f"flights/features/{name}",
            timestamp_field="event_timestamp",
            file_format=DeltaFormat(),
        ),
    )


flights_weather = _view(
    "flights_weather",
    origin,
    timedelta(hours=6),
    ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
)
flights_plane = _view(
    "flights_plane", tailnum, timedelta(days=62), ["age", "seats", "engines", "manufacturer"], texts=("manufacturer",)
)
flights_tail = _view("flights_tail", tailnum, timedelta(days=1), ["tail_arrival_delay"])
flights_route = _view(
    "flights_route",
    route,
    timedelta(days=7),
    [f"route_{name}_{length}" for length in ("24h", "7d") for name in ("late_share", "arrival_delay", "landed")],
)
flights_carrier = _view(
    "flights_carrier",
    carrier,
    timedelta(days=2),
    [f"carrier_{name}_{length}" for length in ("24h", "7d") for name in ("late_share", "arrival_delay", "landed")],
)
flights_origin = _view(
    "flights_origin",
    origin,
    timedelta(days=1),
    [
        *(f"origin_{name}_{length}" for length in ("2h", "24h") for name in ("late_share", "arrival_delay", "landed")),
        "origin_departure_delay_2h",
        "origin_left_2h",
        "origin_waiting",
    ],
)

flights_v1 = FeatureService(
    name="flights_v1",
    features=[flights_weather, flights_plane, flights_tail, flights_route, flights_carrier, flights_origin],
)
