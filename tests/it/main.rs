mod tmp {
    #[test]
    fn print_it() {
        std::fs::write("/tmp/openapi.json", bioprune::service::openapi_json()).unwrap();
    }
}
