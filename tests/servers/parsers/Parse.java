import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.elasticsearch.action.support.IndicesOptions;
import org.elasticsearch.cluster.metadata.ComponentTemplate;
import org.elasticsearch.cluster.metadata.ComposableIndexTemplate;
import org.elasticsearch.common.Strings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.search.SearchModule;
import org.elasticsearch.search.builder.SearchSourceBuilder;
import org.elasticsearch.xcontent.DeprecationHandler;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.ParseField;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xcontent.json.JsonXContent;
import org.elasticsearch.xpack.core.ilm.LifecycleAction;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;
import org.elasticsearch.xpack.core.ilm.LifecycleType;
import org.elasticsearch.xpack.core.ml.action.PutDataFrameAnalyticsAction;
import org.elasticsearch.xpack.core.ml.action.PutDatafeedAction;
import org.elasticsearch.xpack.core.ml.action.PutJobAction;
import org.elasticsearch.xpack.core.ml.action.UpdateDatafeedAction;
import org.elasticsearch.xpack.core.ml.action.UpdateJobAction;
import org.elasticsearch.xpack.core.ml.dataframe.analyses.MlDataFrameAnalysisNamedXContentProvider;
import org.elasticsearch.xpack.core.transform.TransformNamedXContentProvider;
import org.elasticsearch.xpack.core.transform.transforms.TransformConfig;

/**
 * Reads files with Elasticsearch's own parsers and validators. A file is called KIND_ID.json. Prints
 * "OK NAME" or "REFUSED NAME: why" for each. What differs between versions is looked up by name.
 */
public class Parse {
    private static final String ILM = "org.elasticsearch.xpack.core.ilm.";
    private static final String[] ILM_ACTIONS = {"Rollover", "Delete", "ForceMerge", "SetPriority", "ReadOnly", "Shrink", "Allocate", "Migrate"};
    private static NamedXContentRegistry registry;

    interface Check {
        void run(String id, XContentParser parser) throws Exception;
    }

    public static void main(String[] files) throws Exception {
        registry = registry();
        Map<String, Check> checks = Map.ofEntries(
            Map.entry("job", Parse::job),
            Map.entry("jobupdate", (id, parser) -> UpdateJobAction.Request.parseRequest(id, parser)),
            Map.entry("datafeed", Parse::datafeed),
            Map.entry("datafeedupdate", (id, parser) -> UpdateDatafeedAction.Request.parseRequest(id, options(), parser)),
            Map.entry("outliers", Parse::outliers),
            Map.entry("transform", Parse::transform),
            Map.entry("policy", Parse::policy),
            Map.entry("component", (id, parser) -> ComponentTemplate.parse(parser)),
            Map.entry("template", (id, parser) -> ComposableIndexTemplate.parse(parser)),
            Map.entry("search", Parse::search));
        for (String file : files) {
            Path path = Path.of(file);
            String name = path.getFileName().toString().replace(".json", "");
            String[] parts = name.split("_", 2);
            try (XContentParser parser = parser(Files.newInputStream(path))) {
                checks.get(parts[0]).run(parts[1], parser);
                System.out.println("OK " + name);
            } catch (Throwable thrown) {
                StringBuilder why = new StringBuilder();
                for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
                    why.append(cause.getMessage()).append(" | ");
                }
                System.out.println("REFUSED " + name + ": " + why.toString().replace('\n', ' '));
            }
        }
    }

    private static void job(String id, XContentParser parser) throws Exception {
        PutJobAction.Request.parseRequest(id, parser, options()).getJobBuilder().build(new Date());
    }

    private static void datafeed(String id, XContentParser parser) throws Exception {
        PutDatafeedAction.Request.parseRequest(id, options(), parser).getDatafeed().getParsedQuery(registry);
    }

    private static void outliers(String id, XContentParser parser) throws Exception {
        var request = PutDataFrameAnalyticsAction.Request.parseRequest(id, parser);
        if (request.validate() != null) {
            throw request.validate();
        }
    }

    private static void transform(String id, XContentParser parser) throws Exception {
        TransformConfig config = null;
        for (Method method : TransformConfig.class.getMethods()) {
            if (method.getName().equals("fromXContent") && method.getParameterCount() == 3) {
                config = (TransformConfig) call(method, null, parser, id, false);
            } else if (method.getName().equals("fromXContent")) {
                // Since 9.5: and whether other projects may be meant.
                Object context = method.getParameterTypes()[3].getConstructor(boolean.class).newInstance(false);
                config = (TransformConfig) call(method, null, parser, id, false, context);
            }
        }
        var problem = config.validate(null);
        if (problem != null) {
            throw problem;
        }
    }

    private static void policy(String id, XContentParser parser) throws Exception {
        Object policy = parser.map().get("policy");
        if (!(policy instanceof Map)) {
            throw new IllegalArgumentException("no policy");
        }
        @SuppressWarnings("unchecked")
        String text = Strings.toString(JsonXContent.contentBuilder().map((Map<String, Object>) policy));
        LifecyclePolicy.parse(parser(new ByteArrayInputStream(text.getBytes("UTF-8"))), id).validate();
    }

    private static void search(String id, XContentParser parser) throws Exception {
        for (Method method : SearchSourceBuilder.class.getMethods()) {
            // 9 and 8 have it on the object, 7.17 as a constructor function.
            if (method.getName().equals("parseXContent") && method.getParameterCount() == 3) {
                call(method, new SearchSourceBuilder(), parser, true, (java.util.function.Predicate<Object>) feature -> true);
                return;
            }
        }
        call(SearchSourceBuilder.class.getMethod("fromXContent", XContentParser.class, boolean.class), null, parser, true);
    }

    private static IndicesOptions options() {
        return IndicesOptions.strictExpandOpenAndForbidClosedIgnoreThrottled();
    }

    private static Object call(Method method, Object on, Object... arguments) throws Exception {
        try {
            return method.invoke(on, arguments);
        } catch (InvocationTargetException thrown) {
            if (thrown.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw thrown;
        }
    }

    private static XContentParser parser(InputStream stream) throws Exception {
        Object json = JsonXContent.jsonXContent;
        Class<?> type = Class.forName("org.elasticsearch.xcontent.XContent");
        try {
            Class<?> configuration = Class.forName("org.elasticsearch.xcontent.XContentParserConfiguration");
            Object value = configuration.getField("EMPTY").get(null);
            value = call(configuration.getMethod("withRegistry", NamedXContentRegistry.class), value, registry);
            value = call(configuration.getMethod("withDeprecationHandler", DeprecationHandler.class), value, DeprecationHandler.THROW_UNSUPPORTED_OPERATION);
            return (XContentParser) call(type.getMethod("createParser", configuration, InputStream.class), json, value, stream);
        } catch (ClassNotFoundException | NoSuchMethodException older) {
            Method create = type.getMethod("createParser", NamedXContentRegistry.class, DeprecationHandler.class, InputStream.class);
            return (XContentParser) call(create, json, registry, DeprecationHandler.THROW_UNSUPPORTED_OPERATION, stream);
        }
    }

    private static NamedXContentRegistry registry() throws Exception {
        List<NamedXContentRegistry.Entry> entries = new ArrayList<>(searchModule().getNamedXContents());
        entries.addAll(new MlDataFrameAnalysisNamedXContentProvider().getNamedXContentParsers());
        entries.addAll(new TransformNamedXContentProvider().getNamedXContentParsers());
        for (String action : ILM_ACTIONS) {
            Class<?> type = Class.forName(ILM + action + "Action");
            Method parse = type.getMethod("parse", XContentParser.class);
            String name = (String) type.getField("NAME").get(null);
            entries.add(new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(name), parser -> {
                try {
                    return (LifecycleAction) call(parse, null, parser);
                } catch (RuntimeException thrown) {
                    throw thrown;
                } catch (Exception thrown) {
                    throw new IOException(thrown);
                }
            }));
        }
        Object timeseries = Class.forName(ILM + "TimeseriesLifecycleType").getField("INSTANCE").get(null);
        entries.add(new NamedXContentRegistry.Entry(LifecycleType.class, new ParseField("timeseries"), parser -> (LifecycleType) timeseries));
        return new NamedXContentRegistry(entries);
    }

    private static SearchModule searchModule() throws Exception {
        for (Constructor<?> constructor : SearchModule.class.getConstructors()) {
            Class<?>[] types = constructor.getParameterTypes();
            if (types.length == 2) {
                return (SearchModule) constructor.newInstance(Settings.EMPTY, List.of());
            }
            if (types.length == 3 && types[1] == boolean.class) {
                return (SearchModule) constructor.newInstance(Settings.EMPTY, false, List.of());
            }
        }
        throw new IllegalStateException("no constructor of SearchModule is known");
    }
}
