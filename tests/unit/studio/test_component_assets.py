from studio.component_assets import PREFIX, asset_routes, component_assets, component_loader

NAMES = ("dag_view", "data_table", "session_cookie")


def test_every_component_is_served_under_an_address_that_names_its_content() -> None:
    addresses = {route.path for route in asset_routes()}

    assert addresses == {asset.address for name in NAMES for asset in component_assets(name)}
    assert len({asset.address for asset in component_assets("dag_view")}) == 2


def test_what_streamlit_repeats_in_every_message_is_small() -> None:
    assert all(len(component_loader(name)) < 1000 for name in NAMES)
    assert f"{PREFIX}/dag_view." in component_loader("dag_view")


def test_components_put_text_into_the_page_as_text() -> None:
    for name in NAMES:
        for asset in component_assets(name):
            assert b"innerHTML" not in asset.content
            assert b"insertAdjacentHTML" not in asset.content
