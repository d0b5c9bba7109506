"""FAB's auth manager, with two rights taken apart that FAB gives only together with the right to edit a DAG.

Its name contains "FabAuthManager" because Airflow looks for that word before it writes a new DAG's resources.
"""

from typing import Any

from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
from airflow.providers.fab.www.security import permissions


class EvergreenFabAuthManager(FabAuthManager):
    """FAB's rules; and who may read a DAG may also start it, or answer its questions, where a role says just that.

    FAB asks for `can_edit` on the DAG beside the right itself, and whoever has that can pause the DAG. An upstream
    job or an approver needs no such power. Under FAB's own manager the same roles may do less, never more.
    """

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: Any,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Whether `user` may do `method` to a DAG or to what belongs to it.

        Args:
            method: `GET`, `POST`, `PUT` or `DELETE`.
            user: Who asks.
            access_entity: What of the DAG, such as its runs; None for the DAG itself.
            details: Which DAG; None for all of them.
        """
        asked = {"method": method, "user": user, "details": details}
        if super().is_authorized_dag(access_entity=access_entity, **asked):
            return True
        right = self._own_right(method, access_entity, details)
        return (
            right is not None
            and super().is_authorized_dag(**{**asked, "method": "GET"})
            and self.is_authorized_custom_view(method=method, resource_name=right, user=user)
        )

    @staticmethod
    def _own_right(method: ResourceMethod, entity: DagAccessEntity | None, details: DagDetails | None) -> str | None:
        """The resource on which `method` alone is enough; None where FAB's rule stands."""
        if details is None or not details.id:
            return None
        if method == "POST" and entity is DagAccessEntity.RUN:
            return str(permissions.resource_name(details.id, permissions.RESOURCE_DAG_RUN))
        if method == "PUT" and entity is DagAccessEntity.HITL_DETAIL:
            return str(permissions.RESOURCE_HITL_DETAIL)
        return None
