"""Going over to other models and presets, and saving what plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from plugin_bridge.board.preset import Preset
from plugin_bridge.control.commands import Event, PresetNamed
from plugin_bridge.errors import ModelError, PresetError
from plugin_bridge.folders import user_folder
from plugin_bridge.live.engine import Engine
from plugin_bridge.live.protocol import BoardPlan, Described
from plugin_bridge.separation import catalogue
from plugin_bridge.server.boards import plan_of, preset_of


class Loading:
    """Loads and saves in the order they were asked for, each ended when it plays or is written.

    `name` is the current preset's, "" for none; `dirty` says whether the board was moved away from it. `tell`
    hears events, and `tell_moved` is called when a load has moved parameters.
    """

    def __init__(
        self,
        engine: Engine,
        model: str | None,
        name: str,
        tell: Callable[[Event], None],
        tell_moved: Callable[[], None],
    ) -> None:
        self._engine, self._model = engine, model
        self._tell, self._tell_moved = tell, tell_moved
        self._in_order = asyncio.Lock()
        self._under_way: set[asyncio.Future[None]] = set()
        self.name, self.dirty = name, False
        self._keep_clean()

    def _keep_clean(self) -> None:
        self._clean = (self._engine.troupe.plan.model, dict(self._engine.values))

    def tell_dirty(self) -> None:
        """Tell when the board was moved away from its preset, or back."""
        dirty = self._clean != (self._engine.troupe.plan.model, self._engine.values)
        if dirty != self.dirty:
            self.dirty = dirty
            self._tell(PresetNamed(self.name, dirty))

    def _name_preset(self, name: str) -> None:
        self.name, self.dirty = name, False
        self._keep_clean()
        self._tell(PresetNamed(name, False))

    async def load_model(self, name: str) -> None:
        """Go over to another model with the strips as they are; done when it plays.

        Raises `ModelError` for an unknown one, or one that cannot play here.
        """
        with self._working():
            async with self._in_order:
                await asyncio.to_thread(catalogue.model_folder, name)
                swapped = self._change(replace(self._engine.plan, model=name), lambda: None)
            if reason := await swapped:
                raise ModelError(reason)
            self._model = name

    async def load_preset(self, name: str) -> None:
        """Go over to another preset; done when it plays.

        Raises `PresetError` for an unknown or broken one, or one that does not fit; the old one stays.
        """
        with self._working():
            async with self._in_order:
                preset = await asyncio.to_thread(Preset.read, name)
                plan = plan_of(preset, self._model or self._engine.plan.model)
                swapped = self._change(plan, lambda: self._name_preset(preset.name))
            if reason := await swapped:
                raise PresetError(reason)

    def _change(self, plan: BoardPlan, played: Callable[[], None]) -> asyncio.Future[str]:
        """Change the board; the future's result is why it came to nothing, empty where it plays."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def told(reason: str) -> None:
            if not reason:
                played()
            if not future.done():
                future.set_result(reason)

        self._engine.change(plan, told)
        self._tell_moved()
        return future

    async def save_preset(self, name: str) -> None:
        """Save what plays under a name of `[a-z0-9_-]+` among the user's presets.

        One of the user's may have the name of one of ours, and is then the one that is loaded. Raises
        `ValueError` for another name, `PresetError` where the board cannot be described or written.
        """
        if not catalogue.NAME.fullmatch(name):
            raise ValueError(f"a preset's name must have only a-z, 0-9, '-' and '_', got '{name}'")
        with self._working():
            async with self._in_order:
                described = await self._described()
                values = dict(self._engine.values)
                preset = preset_of(name, self._engine.troupe.plan.model, described)
                await asyncio.to_thread(preset.save, user_folder("presets") / f"{name}.toml")
                self.name, self._clean = name, (self._engine.troupe.plan.model, values)
                self.dirty = self._clean[1] != self._engine.values
                self._tell(PresetNamed(name, self.dirty))

    async def _described(self) -> Described:
        future: asyncio.Future[Described] = asyncio.get_running_loop().create_future()
        self._engine.flush()

        def told(described: Described) -> None:
            if not future.done():
                future.set_result(described)

        self._engine.troupe.describe(told)
        described = await future
        if described.refused:
            raise PresetError(described.refused)
        return described

    def _working(self) -> _Under:
        return _Under(self._under_way)

    async def settle(self) -> None:
        """Wait until every load, save and swap begun before is done or refused."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))


class _Under:
    """Marks a command as under way while it runs."""

    def __init__(self, under_way: set[asyncio.Future[None]]) -> None:
        self._under_way = under_way

    def __enter__(self) -> None:
        self._mark: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(self._mark)

    def __exit__(self, *_: object) -> None:
        self._under_way.discard(self._mark)
        self._mark.set_result(None)
